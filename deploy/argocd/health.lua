-- How Argo CD judges an OAuthCredential: docs/status.md says where to put this. It agrees with kstatus; what is suspended is Suspended.
local function condition(kind)
  if obj.status ~= nil and obj.status.conditions ~= nil then
    for _, found in ipairs(obj.status.conditions) do
      if found.type == kind then
        return found
      end
    end
  end
  return {}
end

local function health(status, message)
  return { status = status, message = message or "" }
end

if obj.metadata.deletionTimestamp ~= nil then
  return health("Progressing", "It is being deleted")
end
if obj.status == nil or obj.status.observedGeneration ~= obj.metadata.generation then
  return health("Progressing", "The operator has not seen this spec yet")
end
local ready, stalled = condition("Ready"), condition("Stalled")
if stalled.status == "True" then
  return health("Degraded", stalled.message)
end
if obj.spec ~= nil and obj.spec.suspend == true then
  return health("Suspended", ready.message)
end
if ready.status == "True" then
  -- A refresh that failed while the token still serves is told of, and no more.
  local refreshed = condition("Refreshed")
  if refreshed.status == "False" then
    return health("Healthy", refreshed.message)
  end
  return health("Healthy", ready.message)
end
return health("Progressing", ready.message)
