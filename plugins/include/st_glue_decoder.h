/* Turns a decoder's source into the thing that is being built: ST_BUILD_COMPONENT or ST_BUILD_TWIN. */
#pragma once
#if defined(ST_BUILD_COMPONENT)
#include "st_glue_decoder_component.h"
#elif defined(ST_BUILD_TWIN)
#include "st_glue_decoder_twin.h"
#else
#error "define ST_BUILD_COMPONENT or ST_BUILD_TWIN"
#endif
