"""``python -m musicgym.cli``, which torchrun starts."""

from .main import main

if __name__ == "__main__":
    main()
