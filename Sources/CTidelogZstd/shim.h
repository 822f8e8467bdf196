#include <zdict.h>
#include <zstd.h>
#include <zstd_errors.h>

// Macros that Swift does not import.
static const unsigned long long tidelog_zstd_content_size_unknown = ZSTD_CONTENTSIZE_UNKNOWN;
static const unsigned long long tidelog_zstd_content_size_error = ZSTD_CONTENTSIZE_ERROR;
