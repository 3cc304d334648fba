#include "runtime.h"

#include <dlfcn.h>

#include <cstdio>

namespace facet {
namespace {

const OrtApi *load(const char *library) {
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) throw Failure(FACET_MODEL, std::string("ONNX Runtime cannot be loaded: ") + dlerror());
    using Entry = const OrtApiBase *(*)();
    auto entry = reinterpret_cast<Entry>(dlsym(handle, "OrtGetApiBase"));
    if (!entry) throw Failure(FACET_MODEL, std::string(library) + " is not ONNX Runtime");
    const OrtApi *api = entry()->GetApi(ORT_API_VERSION);
    if (!api) {
        throw Failure(
            FACET_MODEL, std::string("ONNX Runtime ") + entry()->GetVersionString() + " is older than API " +
                             std::to_string(ORT_API_VERSION));
    }
    return api;
}

}  // namespace

Runtime::Runtime(const char *library)
    : api(load(library)),
      environment(nullptr, api->ReleaseEnv),
      options(nullptr, api->ReleaseSessionOptions),
      memory(nullptr, api->ReleaseMemoryInfo) {
    OrtEnv *made_environment = nullptr;
    check(api->CreateEnv(ORT_LOGGING_LEVEL_FATAL, "facet", &made_environment), "environment");
    environment.reset(made_environment);
    OrtSessionOptions *made_options = nullptr;
    check(api->CreateSessionOptions(&made_options), "session options");
    options.reset(made_options);
    // One process a core: threads inside would fight the neighbours, and the sandbox allows none.
    check(api->SetIntraOpNumThreads(made_options, 1), "threads");
    check(api->SetInterOpNumThreads(made_options, 1), "threads");
    check(api->SetSessionGraphOptimizationLevel(made_options, ORT_ENABLE_ALL), "optimisation");
    // The detector's input changes its shape with the image: patterns of one shape would be kept for each.
    check(api->DisableMemPattern(made_options), "memory pattern");
    OrtMemoryInfo *made_memory = nullptr;
    check(api->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &made_memory), "memory");
    memory.reset(made_memory);
}

void Runtime::check(OrtStatus *status, const char *what) const {
    if (!status) return;
    const Owned<OrtStatus> owned(status, api->ReleaseStatus);
    throw Failure(FACET_MODEL, std::string(what) + ": " + api->GetErrorMessage(status));
}

Session::Session(const Runtime &runtime, Bytes model, const char *what)
    : runtime(runtime), what(what), session(nullptr, runtime.api->ReleaseSession) {
    const OrtApi *api = runtime.api;
    OrtSession *made = nullptr;
    runtime.check(
        api->CreateSessionFromArray(runtime.environment.get(), model.data, model.count, runtime.options.get(), &made),
        what);
    session.reset(made);
    size_t inputs = 0, outputs = 0;
    runtime.check(api->SessionGetInputCount(made, &inputs), what);
    runtime.check(api->SessionGetOutputCount(made, &outputs), what);
    if (inputs != 1) throw Failure(FACET_MODEL, std::string(what) + ": the model must have one input");
    input_name = name(false, 0);
    for (size_t i = 0; i < outputs; i++) output_names.push_back(name(true, i));
}

std::string Session::name(bool output, size_t index) const {
    const OrtApi *api = runtime.api;
    OrtAllocator *allocator = nullptr;
    runtime.check(api->GetAllocatorWithDefaultOptions(&allocator), what);
    char *text = nullptr;
    auto get = output ? api->SessionGetOutputName : api->SessionGetInputName;
    runtime.check(get(session.get(), index, allocator, &text), what);
    std::string copy(text);
    runtime.check(api->AllocatorFree(allocator, text), what);
    return copy;
}

std::vector<Owned<OrtValue>> Session::run(
    std::vector<float> &input, int height, int width, const std::vector<const char *> &names,
    const std::vector<size_t> &expected) const {
    const OrtApi *api = runtime.api;
    const int64_t shape[4] = {1, 3, height, width};
    OrtValue *made = nullptr;
    runtime.check(
        api->CreateTensorWithDataAsOrtValue(
            runtime.memory.get(), input.data(), input.size() * sizeof(float), shape, 4,
            ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &made),
        what);
    const Owned<OrtValue> tensor(made, api->ReleaseValue);
    const char *input_names[] = {input_name.c_str()};
    const OrtValue *inputs[] = {made};
    std::vector<OrtValue *> raw(names.size(), nullptr);
    OrtStatus *status =
        api->Run(session.get(), nullptr, input_names, inputs, 1, names.data(), names.size(), raw.data());
    std::vector<Owned<OrtValue>> outputs;
    for (OrtValue *value : raw) outputs.emplace_back(value, api->ReleaseValue);
    runtime.check(status, what);
    for (size_t i = 0; i < outputs.size(); i++) check_shape(outputs[i].get(), expected[i]);
    return outputs;
}

void Session::check_shape(const OrtValue *tensor, size_t expected) const {
    OrtTensorTypeAndShapeInfo *made = nullptr;
    runtime.check(runtime.api->GetTensorTypeAndShape(tensor, &made), what);
    const Owned<OrtTensorTypeAndShapeInfo> info(made, runtime.api->ReleaseTensorTypeAndShapeInfo);
    size_t count = 0;
    ONNXTensorElementDataType type = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    runtime.check(runtime.api->GetTensorShapeElementCount(made, &count), what);
    runtime.check(runtime.api->GetTensorElementType(made, &type), what);
    if (count == expected && type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) return;
    throw Failure(
        FACET_MODEL, std::string(what) + ": an output of " + std::to_string(count) + " values where " +
                         std::to_string(expected) + " fp32 values were expected");
}

const float *Session::values(const Owned<OrtValue> &tensor) const {
    void *data = nullptr;
    runtime.check(runtime.api->GetTensorMutableData(tensor.get(), &data), what);
    return static_cast<const float *>(data);
}

}  // namespace facet
