#include <libpq-fe.h>

// Macros that Swift does not import.
static const int tidelog_pq_sqlstate = PG_DIAG_SQLSTATE;
static const int tidelog_pq_message = PG_DIAG_MESSAGE_PRIMARY;
