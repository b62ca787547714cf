#include "../stm32/iwdg.h"
