/* Denormals cost up to a hundred times a normal operation; kernels flush them to zero while they run.
 * The caller's mode comes back afterwards, so that NumPy beside us computes as ever. */
#ifndef FASTCONV_FLOAT_MODE_H
#define FASTCONV_FLOAT_MODE_H

#if defined(__SSE2__)
#include <xmmintrin.h>
typedef unsigned int float_mode;
#define FLUSH_TO_ZERO 0x8000u
#define DENORMALS_ARE_ZERO 0x0040u
static inline __attribute__((unused)) float_mode flush_denormals(void) {
    float_mode before = _mm_getcsr();
    _mm_setcsr(before | FLUSH_TO_ZERO | DENORMALS_ARE_ZERO);
    return before;
}
static inline __attribute__((unused)) float_mode allow_denormals(void) {
    float_mode before = _mm_getcsr();
    _mm_setcsr(before & ~(FLUSH_TO_ZERO | DENORMALS_ARE_ZERO));
    return before;
}
static inline void restore_mode(float_mode before) { _mm_setcsr(before); }

#elif defined(__aarch64__)
typedef unsigned long float_mode;
#define FLUSH_TO_ZERO (1ul << 24)
static inline __attribute__((unused)) float_mode flush_denormals(void) {
    float_mode before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before | FLUSH_TO_ZERO));
    return before;
}
static inline __attribute__((unused)) float_mode allow_denormals(void) {
    float_mode before;
    __asm__ volatile("mrs %0, fpcr" : "=r"(before));
    __asm__ volatile("msr fpcr, %0" : : "r"(before & ~FLUSH_TO_ZERO));
    return before;
}
static inline void restore_mode(float_mode before) { __asm__ volatile("msr fpcr, %0" : : "r"(before)); }

#else
typedef unsigned int float_mode;
static inline __attribute__((unused)) float_mode flush_denormals(void) { return 0; }
static inline __attribute__((unused)) float_mode allow_denormals(void) { return 0; }
static inline void restore_mode(float_mode before) { (void)before; }
#endif

#endif
