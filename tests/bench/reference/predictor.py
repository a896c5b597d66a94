"""LESA's predictor: network, loss and training, as the paper has them."""
import math

import torch
from torch import nn

HIDDEN = 256
BATCH = 64
LEARNING_RATE = 1e-3
LAMBDA = 5e-5


def build(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(2 * width, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, HIDDEN),
        nn.ReLU(),
        nn.Linear(HIDDEN, width),
    )


def loss_of(predicted: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    error = nn.functional.mse_loss(predicted, target)
    norms = torch.linalg.norm(predicted) - torch.linalg.norm(target)
    return (1 - LAMBDA) * error + LAMBDA * norms**2


class Trainer:
    """Trains on coordinates [layers, rank, width]; a sample is a row of an inner layer with both neighbours' rows."""

    def __init__(self, coordinates: torch.Tensor) -> None:
        self.coordinates = coordinates
        layers, self.rank, width = coordinates.shape
        self.samples = (layers - 2) * self.rank
        self.model = build(width)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=LEARNING_RATE)

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.samples / BATCH)

    def epoch(self):
        """Yields after each step."""
        for indices in torch.randperm(self.samples).split(BATCH):
            layer = indices // self.rank + 1
            row = indices % self.rank
            left = self.coordinates[layer - 1, row]
            right = self.coordinates[layer + 1, row]
            loss = loss_of(self.model(torch.cat((left, right), 1)), self.coordinates[layer, row])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            yield loss.detach()
