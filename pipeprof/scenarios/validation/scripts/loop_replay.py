# Deep Q learning: moves and a replay memory, both with calls of predict, around train_on_batch.
# (After tensorflow's issues 35124 and 33340.)
from own_clock import LoopClock, Stopwatch, write_truth
import random

import keras
import numpy as np

TRAINS, MOVES, BATCH = 200, 2, 32  # so many, for shares that samples show
acting, sampling, clock = Stopwatch(), Stopwatch(), LoopClock()


class Agent:
    def __init__(self):
        self.memory = []
        layers = [keras.layers.Dense(48, activation="relu"), keras.layers.Dense(2)]
        self.net = keras.Sequential([keras.Input((4,)), *layers])
        self.net.compile("adam", "mse")

    def act(self, state):
        with acting:
            values = self.net.predict(state[None], verbose=0)[0]
            return int(values.argmax())

    def sample(self):
        with sampling:
            states = np.stack(random.sample(self.memory, BATCH))
            return states, np.array(self.net.predict(states, verbose=0))


random.seed(1)
agent = Agent()
agent.memory = [np.random.rand(4) for _ in range(BATCH)]
for rows in (1, BATCH):  # what predict traces is no part of the loop
    agent.net.predict(np.zeros((rows, 4)), verbose=0)
clock.wait()
for train in range(TRAINS):
    for _ in range(MOVES):
        state = np.random.rand(4)
        agent.act(state)
        agent.memory.append(state)
    states, targets = agent.sample()
    clock.got()
    agent.net.train_on_batch(states, targets)
    clock.done()
truth = clock.truth()
write_truth(
    steps=TRAINS,
    loop_s=truth["loop_s"],
    acting_s=acting.seconds,
    sampling_s=sampling.seconds,
    own_code_s=acting.seconds + sampling.seconds,
    host_s=acting.seconds + sampling.seconds,
)
