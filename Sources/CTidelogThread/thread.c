#define _GNU_SOURCE
#include "CTidelogThread.h"

#include <sys/syscall.h>
#include <unistd.h>

_Thread_local struct tidelog_lane_slot tidelog_lane_slots[TIDELOG_LANE_SLOTS];

// From linux/membarrier.h, which older headers lack.
enum { register_private_expedited = 1 << 4, private_expedited = 1 << 3 };

bool tidelog_register_barrier(void) {
#ifdef SYS_membarrier
    return syscall(SYS_membarrier, register_private_expedited, 0, 0) == 0;
#else
    return false;
#endif
}

void tidelog_barrier_all(void) {
#ifdef SYS_membarrier
    syscall(SYS_membarrier, private_expedited, 0, 0);
#endif
}
