/* A 64-bit sum that tells whether an array's bytes are still the same: each 64 bytes are turned and multiplied into eight
 * sums that run side by side. Every step can be undone, so one change is always seen; several cancel out with probability 2^-64.
 * It is no protection against somebody who wants them to. */
#ifndef FASTCONV_CHECKSUM_H
#define FASTCONV_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define CHECKSUM_PRIME UINT64_C(0x9E3779B97F4A7C15)
#define CHECKSUM_SUMS 8
#define CHECKSUM_CHAINS 4

static inline uint64_t checksum_turn(uint64_t a) { return a << 29 | a >> 35; }

static inline void checksum_add(uint64_t *sums, const uint64_t *values) {
    for (int i = 0; i < CHECKSUM_SUMS; i++) sums[i] = checksum_turn(sums[i] ^ values[i]) * CHECKSUM_PRIME;
}

static uint64_t checksum(const char *bytes, size_t size) {
    uint64_t sums[CHECKSUM_CHAINS][CHECKSUM_SUMS], values[CHECKSUM_CHAINS][CHECKSUM_SUMS], total = size;
    size_t at = 0;
    for (int chain = 0; chain < CHECKSUM_CHAINS; chain++) {
        for (int i = 0; i < CHECKSUM_SUMS; i++) sums[chain][i] = CHECKSUM_PRIME * (uint64_t)(chain * CHECKSUM_SUMS + i + 1);
    }
    for (; at + sizeof(values) <= size; at += sizeof(values)) {
        memcpy(values, bytes + at, sizeof(values));
        for (int chain = 0; chain < CHECKSUM_CHAINS; chain++) checksum_add(sums[chain], values[chain]);
    }
    memset(values, 0, sizeof(values));
    memcpy(values, bytes + at, size - at);
    for (int chain = 0; chain < CHECKSUM_CHAINS; chain++) {
        checksum_add(sums[chain], values[chain]);
        for (int i = 0; i < CHECKSUM_SUMS; i++) total = checksum_turn(total ^ sums[chain][i]) * CHECKSUM_PRIME;
    }
    return total;
}

#endif
