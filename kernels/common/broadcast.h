/* Walks over tensors that are broadcast against each other, one row of the output after the other.
 *
 * The compiler joins neighbouring axes: tensors of one shape are one row, a vector for every pixel
 * gives one row a pixel. In a row an input is read in even steps, of 0 where one element serves the
 * whole row; the outputs lie side by side.
 *
 * loops: how many loops lie around the rows; then for each, innermost first, its turns, and what
 * the next turn adds to the place in every input and, last, in the output.
 */
#ifndef LOTOR_COMMON_BROADCAST_H
#define LOTOR_COMMON_BROADCAST_H

#include <stdint.h>

struct lotor_rows {
    int32_t at[4];   /* where the row begins in each input and in the output */
    int32_t turn[7]; /* of each loop; tensors have at most 8 axes */
};

/* Move on to the next row; returns 0 after the last one. */
static inline int32_t lotor_next_row(struct lotor_rows *rows, const int32_t *loops,
                                     int32_t tensors) {
    for (int32_t l = 0; l < loops[0]; l++) {
        const int32_t *loop = loops + 1 + l * (tensors + 1);
        if (++rows->turn[l] < loop[0]) {
            for (int32_t i = 0; i < tensors; i++) {
                rows->at[i] += loop[1 + i];
            }
            return 1;
        }
        rows->turn[l] = 0;
    }
    return 0;
}

#endif
