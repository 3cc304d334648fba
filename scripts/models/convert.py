#!/usr/bin/env python3
"""Rewrites the shipped detector and embedder to plain fp32 ONNX that runs fast on one core.

The shipped files are quantised in blocks (DequantizeLinear of opset 21), which ONNX Runtime unpacks on every run.
This script unpacks once, folds constant reshapes, drops Dropout, and writes each PReLU as

    y = depthwise(x, slope) + depthwise(relu(x), 1 - slope)

because 1 x 1 depthwise convolutions have a fast kernel where PReLU has none. The same input gives the same bytes.

With --any-size the declared height and width of input and outputs are freed, which the detector's graph allows:
it is convolutions and reshapes throughout.

Usage: convert.py [--any-size] SOURCE.onnx TARGET.onnx
"""

import sys

import numpy
import onnx
from onnx import helper, numpy_helper

OPSET = 11
IR_VERSION = 6


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--any-size"]
    if len(arguments) != 2:
        print(__doc__.strip().splitlines()[-1], file=sys.stderr)
        return 2
    source, target = arguments
    model = onnx.load(source)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = replace_prelu(fold_constants(list(model.graph.node), constants), constants)
    if "--any-size" in sys.argv:
        free_sizes(model.graph)
    write(model, nodes, constants, target)
    return 0


def fold_constants(nodes, constants):
    """Returns the nodes that remain; `constants` gains what the others computed."""
    kept, renamed = [], {}
    for node in nodes:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            constants[node.output[0]] = dequantised(node, constants)
        elif node.op_type == "Reshape" and all(name in constants for name in node.input):
            constants[node.output[0]] = reshaped(*(constants[name] for name in node.input))
        elif node.op_type == "Constant":
            constants[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
        elif node.op_type == "Dropout":
            renamed[node.output[0]] = renamed.get(node.input[0], node.input[0])
        else:
            kept.append(node)
    for node in kept:
        for index, name in enumerate(node.input):
            node.input[index] = renamed.get(name, name)
    return kept


def dequantised(node, constants):
    values, scale = (constants[name] for name in node.input[:2])
    has_zero = len(node.input) > 2 and node.input[2]
    zero = constants[node.input[2]] if has_zero else numpy.zeros_like(scale, dtype=values.dtype)
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    axis, block = attributes.get("axis", 1), attributes.get("block_size", 0)
    if block:
        cut = [slice(None)] * values.ndim
        cut[axis] = slice(0, values.shape[axis])
        scale, zero = (numpy.repeat(part, block, axis=axis)[tuple(cut)] for part in (scale, zero))
    elif scale.ndim == 1 and scale.size > 1:
        shape = [1] * values.ndim
        shape[axis] = -1
        scale, zero = scale.reshape(shape), zero.reshape(shape)
    return (values.astype(numpy.float32) - zero.astype(numpy.float32)) * scale.astype(numpy.float32)


def reshaped(values, shape):
    """ONNX's Reshape: a 0 keeps the source's size in that place."""
    return values.reshape([values.shape[i] if size == 0 else int(size) for i, size in enumerate(shape)])


def replace_prelu(nodes, constants):
    result = []
    for node in nodes:
        if node.op_type != "PRelu":
            result.append(node)
            continue
        source, slope_name = node.input
        output = node.output[0]
        slope = constants[slope_name].reshape(-1).astype(numpy.float32)
        names = {part: f"{output}.{part}" for part in ("relu", "all", "positive", "slope", "rest")}
        constants[names["slope"]] = slope.reshape(-1, 1, 1, 1)
        constants[names["rest"]] = (1 - slope).reshape(-1, 1, 1, 1)
        group = {"group": len(slope), "kernel_shape": [1, 1]}
        result += [
            helper.make_node("Relu", [source], [names["relu"]]),
            helper.make_node("Conv", [source, names["slope"]], [names["all"]], **group),
            helper.make_node("Conv", [names["relu"], names["rest"]], [names["positive"]], **group),
            helper.make_node("Add", [names["all"], names["positive"]], [output]),
        ]
    return result


def free_sizes(graph):
    for value in graph.input:
        for index, name in ((2, "height"), (3, "width")):
            value.type.tensor_type.shape.dim[index].dim_param = name
    for value in graph.output:
        value.type.tensor_type.shape.dim[1].dim_param = f"cells_of_{value.name}"


def write(model, nodes, constants, target):
    graph = model.graph
    used = {name for node in nodes for name in node.input}
    inputs = [value for value in graph.input if value.name in used and value.name not in constants]
    for field, values in ((graph.node, nodes), (graph.input, inputs)):
        del field[:]
        field.extend(values)
    del graph.initializer[:]
    graph.initializer.extend(
        numpy_helper.from_array(numpy.ascontiguousarray(constants[name]), name)
        for name in sorted(used & set(constants))
    )
    del graph.value_info[:]
    for opset in model.opset_import:
        if opset.domain == "":
            opset.version = OPSET
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model)
    with open(target, "wb") as file:
        file.write(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    sys.exit(main())
