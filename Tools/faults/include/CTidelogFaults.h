// Counts this program's calls that change files, and lets one of them go wrong. See faults.c.
#ifndef TIDELOG_FAULTS_H
#define TIDELOG_FAULTS_H

/// Does nothing but count.
#define TIDELOG_FAULT_COUNT 0
/// Ends the process by SIGKILL before the call.
#define TIDELOG_FAULT_KILL 1
/// Stops the process by SIGSTOP before the call.
#define TIDELOG_FAULT_STOP 2
/// Lets the call fail once, with the given number.
#define TIDELOG_FAULT_FAIL 3
/// Lets half of a write through, then ends the process; other calls: as KILL.
#define TIDELOG_FAULT_TEAR 4
/// From that call on, all that needs room fails with ENOSPC, until disarmed.
#define TIDELOG_FAULT_FULL 5
/// Stops the process by SIGSTOP behind the call.
#define TIDELOG_FAULT_STOP_AFTER 6

/// Whether the calls are intercepted in this build; under a sanitizer they are not.
int tidelog_faults_available(void);

/// Begins to count from 0, and acts at the call numbered `step`.
void tidelog_faults_arm(int action, long step, int error);

/// Ends that; answers how many calls were counted.
long tidelog_faults_disarm(void);

/// Sets this program's clocks: by so many nanoseconds CLOCK_REALTIME and CLOCK_BOOTTIME are ahead of the machine's.
/// May be called from any thread, at any time.
void tidelog_faults_set_clocks(long long wall, long long boot);

/// Lets this program read another boot's id: the contents of a file. The path is kept.
void tidelog_faults_set_boot(const char *path);

#endif
