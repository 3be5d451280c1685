"""``python -m musicgym.cli``, which torchrun starts."""

from .commands import main

if __name__ == "__main__":
    main()
