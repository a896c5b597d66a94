"""Thin SVD of the layers' matrices side by side: python decompose.py '{"file", "layers", "rows", "columns"}'."""
import json
import sys
import time

import torch


def main() -> None:
    task = json.loads(sys.argv[1])
    layers, rows, columns = task["layers"], task["rows"], task["columns"]
    stored = torch.from_file(task["file"], size=layers * rows * columns, dtype=torch.bfloat16)
    # W = [W_0 | W_1 | ...], float32
    matrix = torch.empty(rows, layers * columns)
    for layer in range(layers):
        start = layer * rows * columns
        part = stored[start : start + rows * columns].view(rows, columns)
        matrix[:, layer * columns : (layer + 1) * columns] = part.float()
    del stored, part
    torch.linalg.svd(torch.randn(64, 192), full_matrices=False)

    start = time.perf_counter()
    _, values, _ = torch.linalg.svd(matrix, full_matrices=False)
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "singularValues": values[:8].tolist()}))


main()
