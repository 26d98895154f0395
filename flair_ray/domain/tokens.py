"""stub"""

from flair_ray.domain.calls import ChatRequest


def request_tokens(request: ChatRequest) -> int:
    return (len(request.system) + len(request.shared) + len(request.varying)) // 4
