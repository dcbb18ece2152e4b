"""Four optimizers on a long valley; its two parameters are plain numbers."""
import sys, os
sys.path.append(os.pardir)
from collections import OrderedDict
from common.optimizer import *

steps = int(sys.argv[1]) if sys.argv[1:] else 30
optimizers = OrderedDict()
optimizers["SGD"] = SGD(lr=0.95)
optimizers["Momentum"] = Momentum(lr=0.1)
optimizers["AdaGrad"] = AdaGrad(lr=1.5)
optimizers["Adam"] = Adam(lr=0.3)
for name, optimizer in optimizers.items():
    params, walk = {"x": -7.0, "y": 2.0}, []
    for _ in range(steps):
        optimizer.update(params, {"x": params["x"] / 10.0, "y": 2.0 * params["y"]})
        walk += [params["x"], params["y"]]
    print(name, *walk)
