/* One pool of threads for the whole process; pool.pxd says what it promises.
 *
 *     state = places << 32 | SLEEPING | helpers inside
 *
 * A job is open while it has places. A helper takes a place and counts itself in by one compare-and-swap, so it reads
 * the job only while the caller still waits for it; one that wakes late finds no place and has touched nothing. Whoever
 * finds no task left takes away the remaining places; the job is over when nobody is inside. All this holds whichever
 * job it is, so a state that comes back to an old value does no harm.
 *
 * A job is cut into as many runs of tasks as it has workers. A thread begins with the run of its own number, the same
 * one in every job: what it reads there it has mostly written itself, a layer before, and finds in its own cache. Then it
 * helps with the runs behind it. */
#ifndef FASTCONV_POOL_H
#define FASTCONV_POOL_H

#include <stddef.h>
#include <stdint.h>
#include "float_mode.h"

#if !defined(FASTCONV_SERIAL) && __has_include(<pthread.h>)
#define POOL_THREADS "pthreads"
#endif

typedef void (*pool_work)(void *context, ptrdiff_t task, int worker);

#ifdef POOL_THREADS
#include <pthread.h>
#include <signal.h>
#include <time.h>
#include "apart.h"

#define SPIN 50000                      /* nanoseconds of looking for the next job, or this one's end; then sleep */
#define MOST_HELPERS 1023
#define PAUSES 16                       /* looks between two looks at the clock */
#define APART __attribute__((aligned(128)))  /* two lines: the one beside it is often fetched too */

#define PLACE ((uint64_t)1 << 32)
#define PLACES (~(uint64_t)0 << 32)
#define SLEEPING ((uint64_t)1 << 31)    /* the caller waits for `over` */
#define INSIDE (SLEEPING - 1)

typedef struct {
    APART ptrdiff_t next, end;          /* tasks */
} task_run;

typedef struct {
    APART uint64_t state;
    APART int taken;                    /* by a caller, which alone writes what follows */
    APART int helpers;
    int workers;                        /* of the job, the caller included */
    pool_work run;
    void *context;
    apartness apart;
    task_run runs[MOST_HELPERS + 1];
    pthread_t threads[MOST_HELPERS];
    APART int asleep;                   /* helpers in sleep_until_open */
    pthread_mutex_t lock;
    pthread_cond_t open, over;
} thread_pool;

#define FRESH_POOL \
    {.lock = PTHREAD_MUTEX_INITIALIZER, .open = PTHREAD_COND_INITIALIZER, .over = PTHREAD_COND_INITIALIZER}

static thread_pool pool = FRESH_POOL;
static __thread int in_loop;

/* A child has no helpers, and none of what the parent's threads were doing at the fork is read again. */
static void pool_forget(void) {
    static const thread_pool fresh = FRESH_POOL;
    pool = fresh;
}

static void pool_init(void) { pthread_atfork(NULL, NULL, pool_forget); }

static int pool_helpers(void) { return __atomic_load_n(&pool.helpers, __ATOMIC_RELAXED); }

static inline void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb");
#endif
}

static int64_t nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

static int is_open(void) { return (__atomic_load_n(&pool.state, __ATOMIC_SEQ_CST) & PLACES) != 0; }

static int is_over(void) { return (__atomic_load_n(&pool.state, __ATOMIC_SEQ_CST) & INSIDE) == 0; }

/* Say whether it came true within SPIN nanoseconds. */
static int spin(int (*is_true)(void)) {
    int64_t start = nanoseconds();
    do {
        for (int i = 0; i < PAUSES; i++) {
            if (is_true()) return 1;
            pause_briefly();
        }
    } while (nanoseconds() - start < SPIN);
    return 0;
}

/* Run tasks until none is left, then close the job. */
static void run_tasks(int worker, int thread) {
    const int workers = pool.workers;
    ptrdiff_t task;
    for (int i = 0; i < workers; i++) {
        task_run *r = &pool.runs[(thread + i) % workers];
        while (__atomic_load_n(&r->next, __ATOMIC_RELAXED) < r->end
               && (task = __atomic_fetch_add(&r->next, 1, __ATOMIC_RELAXED)) < r->end)
            pool.run(pool.context, task, worker);
    }
    __atomic_fetch_and(&pool.state, ~PLACES, __ATOMIC_RELAXED);
}

/* Join the job: return the number of the worker, 0 where there is no place. */
static int enter(void) {
    uint64_t state = __atomic_load_n(&pool.state, __ATOMIC_RELAXED);
    while (state & PLACES)
        if (__atomic_compare_exchange_n(&pool.state, &state, state - PLACE + 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
            return pool.workers - (int)(state / PLACE);
    return 0;
}

/* The caller sets SLEEPING and looks at the count under the lock: it is in its wait, or it has seen zero. */
static void leave(void) {
    if (__atomic_fetch_sub(&pool.state, 1, __ATOMIC_RELEASE) == SLEEPING + 1) {
        pthread_mutex_lock(&pool.lock);
        pthread_mutex_unlock(&pool.lock);
        pthread_cond_signal(&pool.over);
    }
}

/* `asleep` is raised before `state` is read; wake reads it after `state` is written: one of the two sees the other. */
static void sleep_until_open(void) {
    pthread_mutex_lock(&pool.lock);
    __atomic_fetch_add(&pool.asleep, 1, __ATOMIC_SEQ_CST);
    while (!is_open()) pthread_cond_wait(&pool.open, &pool.lock);
    __atomic_fetch_sub(&pool.asleep, 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&pool.lock);
}

static void wake(int helpers) {
    int asleep = __atomic_load_n(&pool.asleep, __ATOMIC_SEQ_CST);
    if (asleep == 0) return;
    keep_apart(&pool.apart, pool.threads, pool.helpers);
    pthread_mutex_lock(&pool.lock);     /* who has seen no place is in its wait now */
    pthread_mutex_unlock(&pool.lock);
    if (asleep <= helpers) pthread_cond_broadcast(&pool.open);
    else while (helpers--) pthread_cond_signal(&pool.open);
}

static void *help(void *number) {
    const int thread = (int)(intptr_t)number;
    in_loop = 1;
    flush_denormals();
    for (;;) {
        int worker = enter();
        if (worker) {
            run_tasks(worker, thread);
            leave();
            if (spin(is_open)) continue;
        }
        sleep_until_open();
    }
    return NULL;
}

/* Have this many helpers, or as many as the system gives. Signals are for the caller's thread (Ctrl-C). */
static void grow(int helpers) {
    sigset_t all, before;
    pthread_attr_t detached;
    if (helpers > MOST_HELPERS) helpers = MOST_HELPERS;
    if (pool.helpers >= helpers || pthread_attr_init(&detached)) return;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool.helpers < helpers
           && pthread_create(&pool.threads[pool.helpers], &detached, help, (void *)(intptr_t)(pool.helpers + 1)) == 0)
        __atomic_fetch_add(&pool.helpers, 1, __ATOMIC_RELAXED);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
    pool.apart = (apartness){0};
    keep_apart(&pool.apart, pool.threads, pool.helpers);
}

static int take_pool(void) {
    return !__atomic_load_n(&pool.taken, __ATOMIC_RELAXED) && !__atomic_exchange_n(&pool.taken, 1, __ATOMIC_ACQUIRE);
}

static ptrdiff_t start_of_run(int i, int workers, ptrdiff_t tasks) {
    return tasks / workers * i + (i < tasks % workers ? i : tasks % workers);
}

static void share(int workers, ptrdiff_t tasks, pool_work run, void *context) {
    pool.workers = workers;
    pool.run = run;
    pool.context = context;
    for (int i = 0; i < workers; i++) {
        pool.runs[i].end = start_of_run(i + 1, workers, tasks);
        __atomic_store_n(&pool.runs[i].next, start_of_run(i, workers, tasks), __ATOMIC_RELAXED);
    }
    __atomic_store_n(&pool.state, (workers - 1) * PLACE, __ATOMIC_SEQ_CST);
    wake(workers - 1);
    grow(workers - 1);
    run_tasks(0, 0);
    if (!spin(is_over)) {
        pthread_mutex_lock(&pool.lock);
        __atomic_fetch_or(&pool.state, SLEEPING, __ATOMIC_RELAXED);
        while (!is_over()) pthread_cond_wait(&pool.over, &pool.lock);
        pthread_mutex_unlock(&pool.lock);
    }
    __atomic_store_n(&pool.taken, 0, __ATOMIC_RELEASE);
}

#else
#define POOL_THREADS "none"
#define MOST_HELPERS 0
static int in_loop;                     /* unused without helpers, like the rest */
static void pool_init(void) {}
static int pool_helpers(void) { return 0; }
static int take_pool(void) { return 0; }
static void share(int workers, ptrdiff_t tasks, pool_work run, void *context) {
    (void)workers, (void)tasks, (void)run, (void)context;
}
#endif

static void pool_run(int n_threads, ptrdiff_t tasks, pool_work run, void *context) {
    int nested = in_loop;
    float_mode mode = flush_denormals();
    in_loop = 1;
    if (n_threads > MOST_HELPERS + 1) n_threads = MOST_HELPERS + 1;
    if (!nested && n_threads > 1 && tasks > 1 && take_pool())
        share(n_threads < tasks ? n_threads : (int)tasks, tasks, run, context);
    else
        for (ptrdiff_t task = 0; task < tasks; task++) run(context, task, 0);
    in_loop = nested;
    restore_mode(mode);
}

#endif
