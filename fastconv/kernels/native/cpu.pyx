"""What this CPU can run, and what these kernels were compiled with."""

cdef extern from *:
    """
    #if defined(__x86_64__) && defined(__GNUC__)
    /* The features that gcc and clang may use under -march=x86-64-v3 and -v4. */
    static int cpu_has_v3(void) {
        __builtin_cpu_init();
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")
            && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    }
    static int cpu_has_v4(void) {
        return cpu_has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
            && __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq")
            && __builtin_cpu_supports("avx512vl");
    }
    #else
    static int cpu_has_v3(void) { return 0; }
    static int cpu_has_v4(void) { return 0; }
    #endif
    #ifndef __VERSION__
    #define __VERSION__ "unknown"
    #endif
    """
    bint cpu_has_v3()
    bint cpu_has_v4()
    const char* __VERSION__


def supports(str level):
    """Say whether this CPU (and its operating system) runs code compiled for `level`."""
    if level == "x86_64_v3":
        return cpu_has_v3()
    if level == "x86_64_v4":
        return cpu_has_v4()
    return level == "baseline"


def compiler():
    """Return the C compiler's own version text."""
    return __VERSION__.decode()
