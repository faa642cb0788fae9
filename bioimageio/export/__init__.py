"""From a Keras model to a bioimage.io package, and the checks that such a package runs in Fiji."""
