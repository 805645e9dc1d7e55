"""Short ways past Flask, for what a whole fleet asks: messages of agents, and fragments.

Flask's part of such an answer (contexts, routes, hooks of the console) costs several times what the
answer does. Each answers exactly what Flask would.
"""
