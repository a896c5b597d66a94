"""Steps a second of training: python train.py '{"width", "rank", "layers", "warmup", "steps"}'."""
import json
import math
import sys
import time

import torch

from predictor import Trainer


def main() -> None:
    task = json.loads(sys.argv[1])
    torch.manual_seed(0)
    layers, rank, width = task["layers"], task["rank"], task["width"]
    trainer = Trainer(torch.randn(layers, rank, width).div_(math.sqrt(layers * width)))

    def endless():
        while True:
            yield from trainer.epoch()

    steps = endless()
    for _ in range(task["warmup"]):
        next(steps)
    start = time.perf_counter()
    for _ in range(task["steps"]):
        loss = next(steps)
    seconds = time.perf_counter() - start
    if not math.isfinite(loss.item()):
        raise ArithmeticError("the loss is not finite")
    print(json.dumps({"rate": task["steps"] / seconds}))


main()
