"""The shop floor: cells, robots, people, signals, tasks, disturbances, the engine and the Gymnasium faces."""
