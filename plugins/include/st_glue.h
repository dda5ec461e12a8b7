/* Turns a plugin's source into the thing that is being built: one of ST_BUILD_HOT, ST_BUILD_COMPONENT, ST_BUILD_TWIN. */
#pragma once
#if defined(ST_BUILD_HOT)
#include "st_glue_hot.h"
#elif defined(ST_BUILD_COMPONENT)
#include "st_glue_component.h"
#elif defined(ST_BUILD_TWIN)
#include "st_glue_twin.h"
#else
#error "define ST_BUILD_HOT, ST_BUILD_COMPONENT or ST_BUILD_TWIN"
#endif
