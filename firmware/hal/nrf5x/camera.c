/* An image sensor's parallel bus on an nRF52840: its clock from the I2S peripheral, its bytes by
   looking at pins.

   Section numbers are those of the nRF52840 Product Specification v1.1. Not yet run on hardware. */
#include "../hal.h"
#include "lotor_config.h"

#ifdef LOTOR_CAMERA
#include "lotor_camera.h"
#endif

#if defined(LOTOR_CAMERA) && !LOTOR_CAMERA_SYNTHETIC

#include "../cortex_m/cortex_m.h"

#define I2S 0x40025000u                                            /* 6.11 */
#define GPIO(pin) (0x50000000u + 0x300u * ((uint32_t)(pin) / 32u)) /* 6.9 */
#define GPIO_OUTSET(pin) REGISTER(GPIO(pin) + 0x508)
#define GPIO_OUTCLR(pin) REGISTER(GPIO(pin) + 0x50C)
#define GPIO_IN(pin) REGISTER(GPIO(pin) + 0x510)
#define GPIO_PIN_CNF(pin) REGISTER(GPIO(pin) + 0x700 + 4 * ((uint32_t)(pin) % 32u))
#define MASK(pin) (1u << ((pin) % 32))

enum {
    /* PIN_CNF: [0] output, [1] no input buffer, [3:2] pull, [10:8] drive. */
    INPUT = 0,
    OUTPUT = 3,
    OPEN_DRAIN = 1 | 3 << 2 | 6 << 8, /* input, too; pulled up; drives low only (S0D1) */
    CYCLES_PER_US = LOTOR_CLOCK_HZ / 1000000,
    /* Looks at a pin, some ten cycles each: half a second, more than a frame. */
    PATIENCE = LOTOR_CLOCK_HZ / 20,
};

void hal_wait_us(uint32_t us) {
    const uint32_t from = DWT_CYCCNT;
    while (DWT_CYCCNT - from < us * CYCLES_PER_US) {
    }
}

void hal_wire_set(uint32_t pin, bool released) {
    if (released)
        GPIO_OUTSET(pin) = MASK(pin);
    else
        GPIO_OUTCLR(pin) = MASK(pin);
    GPIO_PIN_CNF(pin) = OPEN_DRAIN;
}

bool hal_wire_get(uint32_t pin) { return GPIO_IN(pin) & MASK(pin); }

void hal_camera_init(void) {
    static const uint8_t inputs[] = {
        LOTOR_CAMERA_PCLK, LOTOR_CAMERA_VSYNC, LOTOR_CAMERA_HREF, LOTOR_CAMERA_D0,
        LOTOR_CAMERA_D1,   LOTOR_CAMERA_D2,    LOTOR_CAMERA_D3,   LOTOR_CAMERA_D4,
        LOTOR_CAMERA_D5,   LOTOR_CAMERA_D6,    LOTOR_CAMERA_D7,
    };
    for (uint32_t i = 0; i < sizeof inputs; i++)
        GPIO_PIN_CNF(inputs[i]) = INPUT;
#ifdef LOTOR_CAMERA_PWDN
    GPIO_OUTCLR(LOTOR_CAMERA_PWDN) = MASK(LOTOR_CAMERA_PWDN);
    GPIO_PIN_CNF(LOTOR_CAMERA_PWDN) = OUTPUT;
#endif
#ifdef LOTOR_CAMERA_RESET /* low for a millisecond */
    GPIO_OUTCLR(LOTOR_CAMERA_RESET) = MASK(LOTOR_CAMERA_RESET);
    GPIO_PIN_CNF(LOTOR_CAMERA_RESET) = OUTPUT;
    hal_wait_us(1000);
    GPIO_OUTSET(LOTOR_CAMERA_RESET) = MASK(LOTOR_CAMERA_RESET);
#endif
    /* A master that sends and receives nothing still gives its clock, MCK. Arduino_OV767X does so,
       too; the electrical specification promises 4 MHz at most, and the sensor asks for 10. */
    REGISTER(I2S + 0x500) = 0;                 /* ENABLE */
    REGISTER(I2S + 0x504) = 0;                 /* CONFIG.MODE: master */
    REGISTER(I2S + 0x508) = 0;                 /* CONFIG.RXEN */
    REGISTER(I2S + 0x50C) = 0;                 /* CONFIG.TXEN */
    REGISTER(I2S + 0x510) = 1;                 /* CONFIG.MCKEN */
    REGISTER(I2S + 0x514) = 0x80000000u;       /* CONFIG.MCKFREQ: 32 MHz / 2 */
    REGISTER(I2S + 0x560) = LOTOR_CAMERA_XCLK; /* PSEL.MCK */
    REGISTER(I2S + 0x500) = 1;
    REGISTER(I2S + 0x000) = 1; /* TASKS_START */
    hal_wait_us(20000);
}

void hal_camera_stop(void) {
    REGISTER(I2S + 0x004) = 1; /* TASKS_STOP */
    REGISTER(I2S + 0x500) = 0;
}

/* Wait until a pin has a level. */
static bool await(uint32_t pin, bool level) {
    for (uint32_t i = 0; i < PATIENCE; i++)
        if (hal_wire_get(pin) == level)
            return true;
    return false;
}

static inline uint32_t bit_of(uint32_t low, uint32_t high, uint32_t pin, uint32_t place) {
    return ((pin < 32 ? low : high) >> pin % 32 & 1u) << place;
}

/* The eight data pins, wherever they are; all of it is constant but the two ports. */
static inline uint8_t data(void) {
    const uint32_t low = GPIO_IN(0), high = GPIO_IN(32);
    return (uint8_t)(bit_of(low, high, LOTOR_CAMERA_D0, 0) | bit_of(low, high, LOTOR_CAMERA_D1, 1) |
                     bit_of(low, high, LOTOR_CAMERA_D2, 2) | bit_of(low, high, LOTOR_CAMERA_D3, 3) |
                     bit_of(low, high, LOTOR_CAMERA_D4, 4) | bit_of(low, high, LOTOR_CAMERA_D5, 5) |
                     bit_of(low, high, LOTOR_CAMERA_D6, 6) | bit_of(low, high, LOTOR_CAMERA_D7, 7));
}

/* One row: a byte at each rising edge of PCLK. False when the edges stop. */
static bool take_row(uint8_t *to, uint32_t bytes, uint32_t skip) {
    uint32_t left = PATIENCE;
    for (uint32_t i = 0; i < skip + bytes; i++) {
        while (!hal_wire_get(LOTOR_CAMERA_PCLK) && --left) {
        }
        const uint8_t byte = data();
        while (hal_wire_get(LOTOR_CAMERA_PCLK) && --left) {
        }
        if (!left)
            return false;
        if (i >= skip)
            *to++ = byte;
    }
    return true;
}

bool hal_camera_capture(uint8_t *to, uint32_t rows, uint32_t row_bytes, uint32_t skip_rows,
                        uint32_t skip_bytes) {
    /* VSYNC is high between frames. */
    if (!await(LOTOR_CAMERA_VSYNC, true) || !await(LOTOR_CAMERA_VSYNC, false))
        return false;
    for (uint32_t row = 0; row < skip_rows + rows; row++) {
        if (!await(LOTOR_CAMERA_HREF, false) || !await(LOTOR_CAMERA_HREF, true))
            return false;
        if (row < skip_rows)
            continue;
        /* No interrupt may cost a byte of a row; the UART holds those of the link meanwhile. */
        __asm volatile("cpsid i" ::: "memory");
        const bool came = take_row(to, row_bytes, skip_bytes);
        __asm volatile("cpsie i" ::: "memory");
        if (!came)
            return false;
        to += row_bytes;
    }
    return true;
}

#endif
