/* Keep helper threads off the CPU of the thread they help.
 *
 * Linux wakes a thread on the waker's CPU when no other looks idle, and to a virtual machine a halted CPU does not
 * (available_idle_cpu asks vcpu_is_preempted). A helper that slept for 20 ms was then seen to share the caller's CPU,
 * the other one idle, until the next load balancing 2 to 6 ms later. */
#ifndef FASTCONV_APART_H
#define FASTCONV_APART_H

#include <pthread.h>

#if defined(__linux__) && defined(_GNU_SOURCE)
#include <sched.h>
#include <string.h>

typedef struct {
    int cpu;                            /* the caller's at the last look + 1; 0: none was taken */
    cpu_set_t allowed;                  /* to the caller then; the helpers follow it */
} apartness;

static void keep_apart(apartness *last, const pthread_t *helpers, int n) {
    cpu_set_t allowed;
    int cpu = sched_getcpu();
    if (cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof allowed, &allowed)) return;
    if (cpu + 1 == last->cpu && CPU_EQUAL(&allowed, &last->allowed)) return;
    last->cpu = cpu + 1;
    last->allowed = allowed;
    if (CPU_COUNT(&allowed) > 1) CPU_CLR(cpu, &allowed);
    for (int i = 0; i < n; i++) pthread_setaffinity_np(helpers[i], sizeof allowed, &allowed);
}

#else
typedef struct { char unused; } apartness;
static void keep_apart(apartness *last, const pthread_t *helpers, int n) { (void)last, (void)helpers, (void)n; }
#endif

#endif
