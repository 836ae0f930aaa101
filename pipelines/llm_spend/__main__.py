"""`python -m llm_spend`: the command, for programs that know their Python and not where its commands lie."""

from llm_spend.cli import main

if __name__ == "__main__":
    main()
