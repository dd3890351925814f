"""From a trained network to an answer over HTTP: the model archive, the request handler, the model server."""
