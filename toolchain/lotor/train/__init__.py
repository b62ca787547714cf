"""Training: recipe and photographs in, an int8 `.tflite` out. Only this package uses TensorFlow."""
