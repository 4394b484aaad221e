"""The command line ``drasi`` (cli-and-api.md sections 1 to 3).

``main`` the program; ``options`` what every command takes; ``api`` management over HTTP; ``manifests`` files, directories,
URLs and standard input; then a module per group of verbs, imported by the verb that needs it: ``resources``, ``queries``, ``live``,
``check``, ``plans``.
"""
