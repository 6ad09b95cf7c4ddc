# Before the training: an index is parsed in long calls that keep the GIL, and a server is waited for.
from own_clock import Stopwatch, write_truth
import time

import numpy as np
from fit_clock import FitClock, light_model

ROUNDS, STEPS, EPOCHS = 10, 100, 3
parsing, connecting = Stopwatch(), Stopwatch()


def parse_index(entries):
    return sorted(range(entries), key=abs, reverse=True)[0]


def connect():
    time.sleep(0.4)


for _ in range(ROUNDS):
    with parsing:
        parse_index(3_000_000)
    with connecting:
        connect()
x, y = np.random.rand(32 * STEPS, 8).astype("float32"), np.zeros((32 * STEPS, 1), "float32")
clock = FitClock()
model = light_model(clock)
with clock:
    model.fit(x, y, epochs=EPOCHS, verbose=0, callbacks=[clock.callback])
truth = clock.truth()
write_truth(
    **{key: truth[key] for key in ("steps", "epochs", "loop_s")},
    parsing_s=parsing.seconds,
    connecting_s=connecting.seconds,
)
