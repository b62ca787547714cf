/* Outputs and servos of an RP2040 and RP2350: pins by SIO, pulses by the PWM slices.

   A slice counts microseconds up to a period of 20 ms; a pin is high until its compare value. Not
   yet run on hardware. */
#include "../hal.h"
#include "lotor_config.h"

#ifdef LOTOR_CAMERA
#include "lotor_camera.h"

#if LOTOR_OUTPUTS

#include "chip.h"
#include "clocks.h"

#define SIO 0xD0000000u
#define GPIO_CTRL(pin) REGISTER(IO_BANK0 + 8 * (pin) + 4)
#define PAD(pin) REGISTER(PADS_BANK0 + 4 * (pin) + 4)

enum { PAD_OUT = 0x56, FUNCSEL_SIO = 5, FUNCSEL_PWM = 4, PERIOD_US = 20000 };

#if __ARM_ARCH < 8
enum { OUT_SET = 0x14, OUT_CLR = 0x18, OE_SET = 0x24, RESET_PWM = 1 << 14 };
#define PWM 0x40050000u /* RP2040 datasheet 4.5.3; SIO 2.3.1.7, RESETS 2.14.3 */
#else
enum { OUT_SET = 0x18, OUT_CLR = 0x20, OE_SET = 0x38, RESET_PWM = 1 << 16 };
#define PWM 0x400A8000u /* RP2350 datasheet 12.5.3; SIO 3.1.11, RESETS 7.5.3 */
#endif

void hal_output_set(uint32_t pin, bool level) {
    REGISTER(SIO + (level ? OUT_SET : OUT_CLR)) = 1u << pin;
}

void hal_output_init(uint32_t pin, bool level) {
    hal_output_set(pin, level); /* before it is driven */
    REGISTER(SIO + OE_SET) = 1u << pin;
    PAD(pin) = PAD_OUT;
    GPIO_CTRL(pin) = FUNCSEL_SIO;
}

#ifdef LOTOR_SERVOS

/* Pin n is channel n % 2 of slice n / 2 % 8 (RP2040 datasheet 4.5.2). */
#define SLICE(pin) (PWM + 0x14u * ((pin) / 2u % 8u))
#define CSR(pin) REGISTER(SLICE(pin) + 0x00)
#define DIV(pin) REGISTER(SLICE(pin) + 0x04)
#define CC(pin) REGISTER(SLICE(pin) + 0x0C)
#define TOP(pin) REGISTER(SLICE(pin) + 0x10)

void hal_servo_set(uint32_t pin, uint32_t us) {
    const uint32_t shift = pin % 2u * 16u;
    CC(pin) = (CC(pin) & ~(0xFFFFu << shift)) | us << shift; /* taken over at the next period */
}

void hal_servo_init(uint32_t pin, uint32_t us) {
    out_of_reset(RESET_PWM);
    DIV(pin) = LOTOR_CLOCK_HZ / 1000000u << 4; /* 8 bits before the point, 4 behind */
    TOP(pin) = PERIOD_US - 1;
    hal_servo_set(pin, us);
    CSR(pin) = 1; /* EN */
    PAD(pin) = PAD_OUT;
    GPIO_CTRL(pin) = FUNCSEL_PWM;
}

#endif

#endif
#endif
