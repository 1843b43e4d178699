"""Networks as they compute at inference, with norms of fixed statistics folded into what precedes.

A batch norm at inference scales and shifts each channel, so it moves into the kernel and bias of
the layer whose output it takes, and a spectral norm or an equalised learning rate into its own
kernel, computed in float64: fewer operations, and less rounding, in every evaluation of a search.
What follows what is read from the graph of layers, so any functional network can be folded,
whatever its layers are called.
"""

from collections import Counter

import keras
import numpy as np

import ops
from networks import strided

_LINEAR = (keras.layers.Dense, keras.layers.Conv2D, keras.layers.Conv2DTranspose)
_STOCK = {
    ops.SpectralConv2D: strided.Conv2D,
    ops.SpectralConv2DTranspose: strided.Conv2DTranspose,
    ops.SpectralDense: keras.layers.Dense,
    ops.EqualConv2D: keras.layers.Conv2D,
    ops.EqualDense: keras.layers.Dense,
}


def folded(network: keras.Model, dense: type = keras.layers.Dense) -> keras.Model:
    """A network without norms that can be folded; `fold` gives it weights. dense: the class of its
    dense layers, keras.layers.Dense or one with the same variables."""
    norms = _norms(network)
    gone = set(norms.values())

    def clone(layer: keras.layers.Layer) -> keras.layers.Layer:
        if not layer.weights or layer.name in gone:
            return layer
        config = layer.get_config() | {"name": layer.name}
        if layer.name in norms:
            config["use_bias"] = True
        kind = _STOCK.get(type(layer), type(layer))
        return (dense if kind is keras.layers.Dense else kind).from_config(config)

    def call(layer: keras.layers.Layer, inputs, *more, **options):
        return inputs if layer.name in gone else layer(inputs, *more, **options)

    return keras.models.clone_model(network, clone_function=clone, call_function=call)


def fold(network: keras.Model, target: keras.Model) -> None:
    """Make `target`, made by `folded` of a network like this one, compute what it does now."""
    norms = _norms(network)
    for layer in filter(lambda layer: layer.weights, target.layers):
        source = network.get_layer(layer.name)
        values = {v.path.rpartition("/")[2]: v.numpy() for v in source.weights}
        if isinstance(source, _LINEAR):
            norm = network.get_layer(norms[layer.name]) if layer.name in norms else None
            values = _folded(source, values, norm)
        for variable in layer.weights:
            variable.assign(values[variable.path.rpartition("/")[2]])


def _norms(network: keras.Model) -> dict[str, str]:
    """Names of the layers into which a batch norm can be folded, each with that norm's: those whose
    output goes nowhere else, at most through a reshape that keeps the channels."""
    tensors = [tensor for layer in network.layers for tensor in _inputs(layer)]
    uses = Counter(map(id, [*tensors, *network.outputs]))
    made_by = {id(layer.output): layer for layer in network.layers}
    found = {}
    for norm in network.layers:
        if not isinstance(norm, keras.layers.BatchNormalization):
            continue
        layer = made_by[id(norm.input)]
        while isinstance(layer, keras.layers.Reshape | keras.layers.Identity):
            layer = made_by[id(layer.input)] if uses[id(layer.output)] == 1 else None
        channels = norm.input.shape[-1]
        if (
            isinstance(layer, _LINEAR)
            and layer.activation is keras.activations.linear
            and uses[id(layer.output)] == 1
            and layer.output.shape[-1] % channels == 0
        ):
            found[layer.name] = norm.name
    return found


def _inputs(layer: keras.layers.Layer) -> list:
    return [] if isinstance(layer, keras.layers.InputLayer) else keras.tree.flatten(layer.input)


def _folded(
    layer: keras.layers.Layer,
    values: dict[str, np.ndarray],
    norm: keras.layers.BatchNormalization | None,
) -> dict[str, np.ndarray]:
    """Kernel and bias, float64, of a layer with its spectral norm and the norm after it, if any."""
    kernel = values["kernel"].astype(np.float64)
    bias = values.get("bias", np.zeros(1)).astype(np.float64)
    if isinstance(layer, ops.Equalised):
        kernel = kernel * layer.scale
    elif type(layer) in _STOCK:  # a spectral norm
        matrix = kernel.reshape(-1, kernel.shape[-1])
        v = values["u"].astype(np.float64) @ matrix.T  # u: (1, fan out)
        kernel = kernel / np.linalg.norm(v / np.linalg.norm(v) @ matrix)
    if norm is None:
        return {"kernel": kernel, "bias": bias}
    mean, variance = (np.float64(v) for v in (norm.moving_mean, norm.moving_variance))
    scale = (1.0 if norm.gamma is None else np.float64(norm.gamma)) / np.sqrt(
        variance + norm.epsilon
    )
    shift = (0.0 if norm.beta is None else np.float64(norm.beta)) - mean * scale
    transposed = isinstance(layer, keras.layers.Conv2DTranspose)
    outputs = kernel.shape[2 if transposed else -1]
    # A dense layer that is reshaped makes the channels of one position after another.
    scale, shift = np.resize(scale, outputs), np.resize(shift, outputs)
    # A transposed kernel is (height, width, out, in).
    return {
        "kernel": kernel * (scale[:, None] if transposed else scale),
        "bias": bias * scale + shift,
    }
