// What the in-memory bus needs of a thread and Swift lacks: a few words of the thread's own, a barrier for the
// compiler alone, and the kernel's barrier on all threads of the process.
#ifndef CTIDELOG_THREAD_H
#define CTIDELOG_THREAD_H

#include <stdbool.h>
#include <stdint.h>

// The lanes that a thread used last, by the number of their bus.
struct tidelog_lane_slot {
    uint64_t bus;
    void *lane;
};

#define TIDELOG_LANE_SLOTS 4

extern _Thread_local struct tidelog_lane_slot tidelog_lane_slots[TIDELOG_LANE_SLOTS]
    __attribute__((tls_model("initial-exec")));

// The calling thread's lane of a bus, or null if it is not at hand.
static inline void *tidelog_lane(uint64_t bus) {
    const struct tidelog_lane_slot *slot = &tidelog_lane_slots[bus % TIDELOG_LANE_SLOTS];
    return slot->bus == bus ? slot->lane : 0;
}

static inline void tidelog_remember_lane(uint64_t bus, void *lane) {
    struct tidelog_lane_slot *slot = &tidelog_lane_slots[bus % TIDELOG_LANE_SLOTS];
    slot->bus = bus;
    slot->lane = lane;
}

// For the end of a thread, when its lanes go to others.
static inline void tidelog_forget_lanes(void) {
    for (int index = 0; index < TIDELOG_LANE_SLOTS; index++) tidelog_lane_slots[index].bus = 0;
}

// Keeps the compiler, not the processor, from moving memory accesses across.
static inline void tidelog_compiler_barrier(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

// Tells the processor that this is a loop that waits.
static inline void tidelog_pause(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

// Has the processor fetch a cache line that will be written to, while it does something else.
static inline void tidelog_prefetch_for_writing(const void *place) {
#if defined(__x86_64__)
    // The built-in one fetches it for reading where the compiler may not assume the instruction; all that run
    // 64-bit programs know it, if only to ignore it.
    __asm__ volatile("prefetchw %0" : : "m"(*(const char *)place));
#else
    __builtin_prefetch(place, 1, 3);
#endif
}

// Asks the kernel for leave to use `tidelog_barrier_all`; false where it has no such call.
bool tidelog_register_barrier(void);

// A full barrier on every running thread of the process.
void tidelog_barrier_all(void);

#endif
