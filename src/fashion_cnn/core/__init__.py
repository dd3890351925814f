"""What every room needs: errors, the data set's constants, reading a split, outputs, parameters, results, Keras."""
