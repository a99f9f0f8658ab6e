"""The papermill engine ``evaluation``: cells run one by one, and whatever stops them is told apart.

papermill loads this module while it is itself being imported, so nothing of papermill or nbclient
is imported before a notebook runs; the work is done in ``evaluation.study.execution``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nbformat import NotebookNode

ENGINE = "evaluation"


class StudyEngine:
    """Runs a notebook for papermill; registered as the entry point ``evaluation``.

    The runner hands over an ``execution`` (see ``evaluation.study.execution.Execution``). Without
    one, as in ``papermill --engine evaluation``, a plain one is made that saves to the output path.
    """

    @classmethod
    def nb_kernel_name(cls, nb: NotebookNode, name: str | None = None) -> str:
        """Return the name of the kernel, ``python3`` where the notebook names none."""
        from evaluation.study import execution

        execution.register_translator()
        return name or str(nb.metadata.get("kernelspec", {}).get("name", "python3"))

    @classmethod
    def nb_language(cls, nb: NotebookNode, language: str | None = None) -> str:
        """Return the language of the notebook; the workbench knows only Python."""
        return language or "python"

    @classmethod
    def execute_notebook(cls, nb: NotebookNode, kernel_name: str, **options: Any) -> NotebookNode:
        """Run the cells of ``nb`` and return it with their outputs, whatever became of them."""
        from evaluation.study.execution import Execution

        execution = options.get("execution") or Execution(save_to=options.get("output_path"))
        return execution.run(nb, kernel_name)
