// ONNX Runtime's C API, loaded at run time: the shim links against nothing of it.
#pragma once

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#include <onnxruntime_c_api.h>
#pragma GCC diagnostic pop

#include <memory>
#include <vector>

#include "image.h"

namespace facet {

template <typename Object>
using Owned = std::unique_ptr<Object, void (*)(Object *)>;

/// The loaded library and one environment. Stays loaded until the process ends: the library starts no threads for
/// us, but unloading it is not supported by its makers.
class Runtime {
public:
    explicit Runtime(const char *library);

    /// Throws FACET_MODEL with the runtime's own message when `status` is an error.
    void check(OrtStatus *status, const char *what) const;

    const OrtApi *api;
    Owned<OrtEnv> environment;
    Owned<OrtSessionOptions> options;
    Owned<OrtMemoryInfo> memory;
};

/// One model. Input: one fp32 tensor of shape 1 x 3 x height x width; outputs: fp32 tensors.
class Session {
public:
    Session(const Runtime &runtime, Bytes model, const char *what);

    const std::vector<std::string> &outputs() const { return output_names; }

    /// Runs on `input` (3 * height * width values) and returns the outputs named, in that order.
    /// `expected` is the number of values each must have.
    std::vector<Owned<OrtValue>> run(
        std::vector<float> &input, int height, int width, const std::vector<const char *> &names,
        const std::vector<size_t> &expected) const;

    const float *values(const Owned<OrtValue> &tensor) const;

private:
    const Runtime &runtime;
    const char *what;
    Owned<OrtSession> session;
    std::string input_name;
    std::vector<std::string> output_names;

    std::string name(bool output, size_t index) const;
    void check_shape(const OrtValue *tensor, size_t expected) const;
};

}  // namespace facet
