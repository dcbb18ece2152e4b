"""The same seed gives the same bits: on any number of threads, today and in the next run, each in a process of its own.

The bits are those of one backend, at one instruction-set level: another one's may differ, for it rounds elsewhere.
"""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastconv
from fastconv import dispatch

PROGRAM = """
import hashlib, sys
import numpy as np
from fastconv import Adam, DeepConvNet, Network, SmallResNet, Trainer, layers

dtype = np.dtype(sys.argv[1])
rng = np.random.default_rng(0)
digits, labels = rng.integers(0, 256, (29, 1, 28, 28), np.uint8), rng.integers(0, 10, 29)
photos = rng.normal(0.2, 1, (12, 3, 18, 15)).astype(dtype)

def show(name, *arrays):
    print(name, hashlib.sha256(b"".join(np.asarray(array).tobytes() for array in arrays)).hexdigest())

def show_network(name, network, *batches):
    means = [layer.running_mean for layer in network.layers if hasattr(layer, "running_mean")]
    show(name, *network.params.values(), *means, *map(network.predict, batches))

network = DeepConvNet(dtype=dtype, seed=1)  # Dropout
trainer = Trainer(network, digits, labels, digits[:9], labels[:9], 1, 13, "Adam", {"lr": 0.001}, verbose=False, seed=2)
trainer.train()
show("losses", trainer.train_loss_list, trainer.train_acc_list)
show_network("dropout", network, digits, digits[:1])

np.random.seed(3)
network, optimizer = SmallResNet(8, photos.shape[1:], dtype=dtype), Adam()  # BatchNormalization
for _ in range(2):
    optimizer.update(network.params, network.gradient(photos, labels[:12]))
show_network("normalized", network, photos, photos[:1])

network = Network(dtype=dtype)  # so much work for an image that all threads share each step
for channels, filters, size in ((3, 40, 7), (40, 64, 3), (64, 64, 3), (64, 33, 1)):
    network.add(layers.Convolution(rng.normal(0, 0.1, (filters, channels, size, size)), rng.normal(size=filters), 1, 1))
    network.add(layers.Relu())
network.add(layers.Pooling(3, 2, 2))
network.add(layers.Affine(rng.normal(0, 0.01, (33 * 14 * 14, 50)), rng.normal(size=50)))
large = rng.normal(size=(5, 3, 32, 31)).astype(dtype)
show("shared steps", network.predict(large), network.predict(large[:1]))

images, x = [rng.normal(0.5, 1, (6, 40, 45, 43)).astype(dtype)], None
gamma, beta = rng.uniform(0.5, 1, (2, 48)).astype(dtype)
chain = [layers.Convolution(rng.normal(0, 0.1, (48, 40, 3, 3)).astype(dtype), np.ones(48, dtype), (1, 2), 1),
         layers.Convolution(rng.normal(0, 0.05, (48, 48, 3, 3)).astype(dtype), np.ones(48, dtype), 1, 1),  # Winograd's
         layers.BatchNormalization(gamma, beta), layers.Relu(), layers.LRN(), layers.Pooling(3, 2, 2, 1),
         layers.Dropout(0.3, rng=np.random.default_rng(4)), layers.Sigmoid(), layers.Pooling(2, 3, 1, mode="average"),
         layers.Affine(rng.normal(0, 0.01, (48 * 22 * 10, 70)).astype(dtype), np.ones(70, dtype))]
for layer in chain:
    images.append(layer.forward(images[-1]))
loss = layers.SoftmaxWithLoss()
loss.forward(images[-1], labels[:6])
gradients = [loss.backward()]
for layer in reversed(chain):
    gradients.append(layer.backward(gradients[-1]))
names = "dW", "db", "dgamma", "dbeta"
gradients += [getattr(layer, name) for layer in chain for name in names if hasattr(layer, name)]
show("layers", *images, *gradients)
"""
# what a process may differ by; the last one fills all memory with other bytes, and uses none a second time
ENVIRONMENTS = [
    {"FASTCONV_NUM_THREADS": "1"},
    {"FASTCONV_NUM_THREADS": "2"},
    {"FASTCONV_NUM_THREADS": "3"},
    {"FASTCONV_NUM_THREADS": "5", "PYTHONHASHSEED": "7"},
    {"FASTCONV_NUM_THREADS": "2", "FASTCONV_REUSE_MEMORY": "0", "MALLOC_PERTURB_": "165", "PYTHONMALLOC": "malloc"},
    {"FASTCONV_NUM_THREADS": "1"},
]


def bits(dtype, variables):
    """Return the hash of each thing that the program computes."""
    environment = os.environ | {"PYTHONPATH": str(Path(fastconv.__file__).parents[1])} | variables
    done = subprocess.run([sys.executable, "-c", PROGRAM, dtype], env=environment, capture_output=True, text=True,
                          timeout=1200)  # Numba compiles, the first time
    assert done.returncode == 0, done.stderr
    return dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())


# the reference takes minutes in float64, by the same lines
@pytest.mark.parametrize("dtype", ["float32", "float64"] if dispatch.backend() != "reference" else ["float32"])
def test_every_process_computes_the_same_bits(dtype):
    expected = bits(dtype, ENVIRONMENTS[0])
    assert len(set(expected.values())) == 5
    for variables in ENVIRONMENTS[1 if dispatch.backend() != "reference" else 4:]:  # NumPy has threads of its own
        assert bits(dtype, variables) == expected, variables
