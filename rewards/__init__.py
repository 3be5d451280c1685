"""The terms of the reward, one a file: file name = term name, class = its CamelCase."""
