// The variants of the kernels, and which of them runs here.
#ifndef STORAGE_VARIANTS_H
#define STORAGE_VARIANTS_H

#include "facet_storage.h"

enum { SCALAR = 0, AVX2 = 1, VARIANTS };

/// Chosen before main runs and never changed, so that no call needs a lock.
int storage_variant(void);

#endif
