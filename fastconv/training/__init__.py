"""What the Trainer stands on: checkpoints, gradient clipping, and what to say about numbers that are not finite."""
