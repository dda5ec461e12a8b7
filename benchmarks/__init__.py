"""What this project costs, each figure beside a baseline that ran in the same minute: ``python -m benchmarks``."""
