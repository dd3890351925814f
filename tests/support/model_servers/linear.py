"""The project's model server, but for TensorFlow: what the archive holds is a linear model."""

import json
import sys
from pathlib import Path

import numpy as np

from fashion_cnn.serving import server
from support.linear_model import probabilities


def load_model(folder: Path) -> server.Predict:
    model = np.load(folder / "1" / "saved_model.pb")
    if model["behaviour"] == "crash":
        sys.exit("error: this model can't be loaded")
    if model["behaviour"] == "silent":
        server.application = lambda ready, workers: application(lambda: None, workers)  # noqa: ARG005

    def predict(body: str) -> server.Prediction:
        answer = probabilities(np.array(json.loads(body)["instances"], np.uint8), model["weights"])
        return server.Prediction(200, json.dumps({"predictions": answer.tolist()}).encode())

    return predict


application, server.load_model = server.application, load_model
load_model(Path(sys.argv[sys.argv.index("--archive-folder") + 1]))
server.main()
