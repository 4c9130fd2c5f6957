"""``python -m statemachine`` is the program ``statemachine``."""

from statemachine.cli import main

main()
