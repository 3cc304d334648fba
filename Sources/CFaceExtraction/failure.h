// How a failure travels inside the shim: thrown as Failure, turned into code and message at the C surface.
#pragma once

#include <new>
#include <stdexcept>
#include <string>

#include "include/facet_extraction.h"

namespace facet {

class Failure : public std::runtime_error {
public:
    Failure(int code, const std::string &message) : std::runtime_error(message), code(code) {}
    const int code;
};

void report(facet_error *error, const char *message);

/// Runs `body`; whatever it throws becomes a code, so that no exception crosses into C or Swift.
template <typename Body>
int guarded(facet_error *error, Body &&body) {
    try {
        body();
        return FACET_OK;
    } catch (const Failure &failure) {
        report(error, failure.what());
        return failure.code;
    } catch (const std::bad_alloc &) {
        report(error, "memory ran out");
        return FACET_RESOURCE;
    } catch (const std::exception &exception) {
        report(error, exception.what());
        return FACET_RESOURCE;
    }
}

}  // namespace facet
