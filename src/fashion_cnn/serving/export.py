"""A Keras network as a TensorFlow SavedModel of one file, the same bytes for the same network."""

import tempfile
from pathlib import Path

from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import IMAGE_SHAPE
from fashion_cnn.core.lean_keras import keras, tf

from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2  # isort: skip


def saved_model(model: Path) -> bytes:
    """Export a `.keras` file as the content of `saved_model.pb`.

    Its signature `serving_default` takes `images`, uint8 (n, 28, 28), and returns `probabilities`, float32
    (n, 10). The weights are constants of the graph, so this one file is the whole model. What `model.export`
    writes differs from run to run: checkpoint, function names, fingerprint.

    Source: tensorflow.org/guide/saved_model; `convert_variables_to_constants_v2` in TensorFlow's
    convert_to_constants.py.

    Raises:
        UserError: the file is missing or is no Keras model.
    """
    if not model.is_file():
        raise UserError(f"{model}: not found; `dvc repro {model.parent.name}` makes it")
    try:
        network = keras.models.load_model(model, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{model}: not a Keras model: {' '.join(str(error).split())}") from error

    @tf.function(input_signature=[tf.TensorSpec((None, *IMAGE_SHAPE), tf.uint8, name="images")])
    def serve(images: tf.Tensor) -> tf.Tensor:
        return network(images, training=False)

    tf.get_logger().setLevel("ERROR")  # the builder below calls what TensorFlow itself deprecates
    frozen = convert_variables_to_constants_v2(serve.get_concrete_function())
    v1 = tf.compat.v1.saved_model
    with tempfile.TemporaryDirectory() as folder, tf.compat.v1.Session(graph=frozen.graph) as session:
        signature = v1.predict_signature_def({"images": frozen.inputs[0]}, {"probabilities": frozen.outputs[0]})
        builder = v1.Builder(str(Path(folder, "export")))
        # Attributes at their defaults are left out, so that an older TensorFlow Serving can read the graph.
        builder.add_meta_graph_and_variables(
            session, [v1.tag_constants.SERVING], {"serving_default": signature}, strip_default_attrs=True
        )
        return Path(builder.save().decode()).read_bytes()
