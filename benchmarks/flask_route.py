"""The plain way to serve a network: `model.predict` in a Flask route, by Flask's own server with threads."""

import argparse
import io
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from flask import Flask, Response, jsonify, request

app = Flask(__name__)


@app.get("/ping")
def ping() -> str:
    """Whether it is up."""
    return "up"


@app.post("/predict")
def predict() -> Response:
    """Class probabilities of images, sent as JSON or as a NumPy array file."""
    if request.content_type == "application/x-npy":
        images = np.load(io.BytesIO(request.data))
    else:
        images = np.array(request.get_json()["instances"])
    probabilities = app.config["model"].predict(images, verbose=0)
    return jsonify(predictions=probabilities.tolist())


def main() -> None:
    """Serve a `.keras` file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    app.config["model"] = keras.models.load_model(options.model, compile=False)
    app.config["model"].predict(np.zeros((1, 28, 28), np.uint8), verbose=0)
    app.run(host="127.0.0.1", port=options.port, threaded=True)


if __name__ == "__main__":
    main()
