"""The project's model server, but for TensorFlow: what the archive holds is a linear model."""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from fashion_cnn.serving import server, tensorflow_serving
from fashion_cnn.serving.tensorflow_serving import Predict, Prediction
from support.linear_model import probabilities


def load(version: Path) -> Predict:
    model = np.load(version / "saved_model.pb")
    if model["behaviour"] == "crash":
        sys.exit("error: this model can't be loaded")
    if model["behaviour"] == "silent":
        server.application = lambda ready, workers: application(lambda: None, workers)  # noqa: ARG005

    def predict(body: str | bytes) -> Prediction:
        answer = probabilities(np.array(json.loads(body)["instances"], np.uint8), model["weights"])
        return Prediction(200, json.dumps({"predictions": answer.tolist()}).encode())

    return predict


application, tensorflow_serving.load = server.application, load
parser = argparse.ArgumentParser()
parser.add_argument("--archive-folder", type=Path)
tensorflow_serving.load_models(
    parser.parse_known_args()[0].archive_folder
)  # crashes, or falls silent, before it serves
server.main()
