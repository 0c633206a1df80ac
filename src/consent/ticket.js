const given=location.hash.slice(1);if(given){const field=document.getElementById('ticket');field.value=given;history.replaceState(null,'',location.pathname);field.form.submit()}
